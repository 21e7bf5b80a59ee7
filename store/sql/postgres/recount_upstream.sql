-- Counts the upstream of all instances of some tasks anew. Instances of one mapped group belong together by their map index; one that
-- was decided about before the group was expanded belongs to all. Changes that have not been taken in are not counted: they will be.
with edge as materialized (
    select * from json_to_recordset($2::json) as x("index" bigint, upstream bigint, together boolean)
),
state as materialized (
    select u.task_index, u.map_index, coalesce(
        (select c.from_state from run_change c
         where c.dag_run_id = $1 and c.task_instance_id = u.id and c.from_state <> c.to_state order by c.id limit 1), u.state) as state
    from task_instance u where u.dag_run_id = $1 and u.task_index in (select upstream from edge)
),
count_by_map as materialized (
    select task_index, map_index, count(*) as total, count(*) filter (where state = 'success') as success,
        count(*) filter (where state = 'failed') as failed, count(*) filter (where state = 'upstream_failed') as upstream_failed,
        count(*) filter (where state = 'skipped') as skipped, count(*) filter (where state = 'removed') as removed
    from state group by task_index, map_index
),
count_of_all as materialized (
    select task_index, sum(total) as total, sum(success) as success, sum(failed) as failed,
        sum(upstream_failed) as upstream_failed, sum(skipped) as skipped, sum(removed) as removed
    from count_by_map group by task_index
),
part as (
    select t.id, a.total, a.success, a.failed, a.upstream_failed, a.skipped, a.removed
    from edge join task_instance t on t.dag_run_id = $1 and t.task_index = edge."index"
    join count_of_all a on a.task_index = edge.upstream
    where not edge.together or t.map_index = -1
    union all
    select t.id, a.total, a.success, a.failed, a.upstream_failed, a.skipped, a.removed
    from edge join task_instance t on t.dag_run_id = $1 and t.task_index = edge."index"
    join count_by_map a on a.task_index = edge.upstream and a.map_index in (t.map_index, -1)
    where edge.together and t.map_index <> -1
),
counted as (
    select t.id, coalesce(sum(part.total), 0) as total, coalesce(sum(part.success), 0) as success,
        coalesce(sum(part.failed), 0) as failed, coalesce(sum(part.upstream_failed), 0) as upstream_failed,
        coalesce(sum(part.skipped), 0) as skipped, coalesce(sum(part.removed), 0) as removed
    from task_instance t left join part on part.id = t.id
    where t.dag_run_id = $1 and t.task_index in (select "index" from edge)
    group by t.id
)
update task_instance t set upstream_total = counted.total, upstream_success = counted.success, upstream_failed = counted.failed,
    upstream_upstream_failed = counted.upstream_failed, upstream_skipped = counted.skipped,
    upstream_removed = counted.removed
from counted where t.id = counted.id
