-- Whether the attempt still has the right to act; the lock keeps others from taking it while its files are written.
select try_number from task_instance where id = $1 and epoch = $2 and claim_id = $3 and state || '' = 'running' for share
