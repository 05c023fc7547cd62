"""A session: every participant's path from chunks to windows on the topic, under back-pressure.

    recordings   who is in the recordings that are given
    plan         who is captured, from which sources
    participant  one participant's pipeline, in a thread
    sending      the send queue, and the windows in flight
    delivery     a participant's windows on their way to the broker, the session's record
    running      all participants of a session
    rescore      windows of the past, sent once more

What enters: participants and settings. What leaves: `Window` and `Session` records. Nothing here
knows the model or the smoothing.
"""
