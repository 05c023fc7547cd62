"""Streaming multimodal sentiment, from devices to Kafka topics.

The way of the data, one line a stage:

    capture     devices, files, URLs   → AudioChunk, VideoFrame
    asr, faces  chunks                 → Word, FaceCrop
    windows     chunks, words, crops   → Window      (topic windows)
    inference   Window                 → Score       (topic scores)
    smoothing   Score                  → Sentiment   (topics smoothed, session-smoothed, alerts)
    subscribe   Sentiment              → your program

`records` is what flows, `config` what can be set, `topics` how it lies on Kafka, `broker` where
Kafka comes from, `cli` the wiring.
"""
