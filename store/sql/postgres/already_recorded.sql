-- Attempts that have ended, or were suspended, under the very token of the report: it was recorded before.
select x.id
from json_to_recordset($1::json) as x(id bigint, claim bigint)
cross join lateral (
    (select 1 from attempt where task_instance_id = x.id and claim_id = x.claim limit 1)
    union all
    (select 1 from suspended_try where task_instance_id = x.id and claim_id = x.claim)
    limit 1
) a
