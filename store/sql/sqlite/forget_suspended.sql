delete from suspended_try where task_instance_id in (select value from json_each($1))
