"""Speech: audio (or a transcript) → words with times, and where speech is.

    recognisers  which one gives a participant's words, and why
    given        words that a sender gives while the session runs
    streaming    a running utterance: hypotheses, committed words
    activity     where speech is (Silero)
    silero       Silero's network, in numpy
    loudness     soft sound amplified, and loud sound that the detector may miss
    whisper      one utterance's audio → words (Whisper through CTranslate2)
    models       Whisper's files on disk
    transcripts  a transcript's file, or a text stream of a recording → words and who says them
      dialects   the shapes in which transcripts come: Zoom, Teams, Meet, Otter and others
      speaker_names  names before the text of a cue
      cues       the grammar of WebVTT and SRT
    turns        the sound of one person in a recording of several
    captions     a transcript as a recogniser

A transcriber is synchronous and deterministic in event time, one per participant. Nothing here
knows windows, threads or Kafka.
"""
