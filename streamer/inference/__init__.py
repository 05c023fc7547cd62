"""Inference: windows → scores, with one model on one device per process.

    clips     window → clip, prediction → score
    batches   clips → predictions: one place decides how many are scored at once
    worker    reads windows, publishes one `Score` for each, commits after the acknowledgement

A window that cannot be decoded, or on which the model fails alone, is published to dead-letter with
the reason, and its batch continues. Nothing here knows how records lie on Kafka or how the model is
built.
"""
