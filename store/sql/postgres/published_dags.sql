select d.dag_id, v.id, v.number
from json_to_recordset($1::json) as x(dag_id text)
join dag d on d.dag_id = x.dag_id
join dag_version v on v.id = d.version_id
