DROP FUNCTION mesh.requeue_lost_text(integer), mesh.forget_paused(text[]), mesh.note_paused(text[]), mesh.paused_queues();
DROP TABLE mesh.paused_queue;
