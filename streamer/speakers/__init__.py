"""Who speaks when, from sound alone.

    AudioChunk ─ listening ─ Stretch ─ clustering ─ turns by speaker

`segmentation` tells up to three voices apart within a few seconds, `voices` describes each of them
as a vector, `clustering` (pure) joins the voices of all stretches to people, `online` (pure) does
so while the sound goes on, `enrolment` (pure) finds those whose voices are known. Voices are kept
in memory only: nothing here writes, and no record has them.
"""
