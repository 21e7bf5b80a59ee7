-- Whether the attempt still has the right to act; SQLite's writers are alone anyway.
select try_number from task_instance where id = $1 and epoch = $2 and claim_id = $3 and state = 'running'
