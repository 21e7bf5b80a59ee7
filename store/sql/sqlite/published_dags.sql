select d.dag_id, v.id, v.number
from json_each($1) x
join dag d on d.dag_id = x.value ->> 'dag_id'
join dag_version v on v.id = d.version_id
