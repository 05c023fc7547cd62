"""The room: people join a live session from a browser, after they have agreed.

    people   who has agreed to what, who is in, who has left (pure)
    inbox    decoded frames with RTP times → chunks of one participant
    peer     WebRTC: an offer → an answer, and the frames of its tracks
      offers     what an SDP offer may contain (pure)
      ice        addresses, and when a sender counts as gone
      encryption the certificates and ciphers of connections
      jitter     its packets of sound in order
    programs a WebSocket for programs without WebRTC
      messages   its protocol (pure)
      allowance  how much a sender may send (pure)
    certificate  a self-signed certificate, and the check of one that is given
    tokens   the join link's token
    watching the session's live page, for those who may see it
    site     one room's pages, requests and links
    server   the address at which rooms are served, and who may ask
    session  the live session: a pipeline for each person who joins
    rooms    one or more rooms on one server
    static/  the pages of people and of the host

What enters: browsers, other senders of WHIP, and programs. What leaves: `Window` and `Session`
records, as of any live session. Nothing here knows the model or the smoothing.
"""
