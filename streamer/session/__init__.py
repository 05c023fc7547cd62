"""A session: every participant's path from chunks to windows on the topic, under back-pressure.

    plan         who is captured, from which sources
    participant  one participant's pipeline, in a thread
    sending      the send queue, and the windows in flight
    running      all participants of a session
    rescore      windows of the past, sent once more

What enters: participants and settings. What leaves: `Window` and `Session` records. Nothing here
knows the model or the smoothing.
"""
