"""The stream processor: a Faust app that turns scores into the published sentiment.

What enters: `Score` records. What leaves: `Sentiment`, `SessionSentiment` and `Alert` records.
Two stages, each an agent with a keyed table: scores by participant; participants' sentiment by
session, over the internal topic session-input. `smoothing` defines the values, `kafka` the topics.

    spec       the two stages as pure functions
    stage      an agent's body: order, outputs, states, commits
    inputs     topics that are cut, made again or widened
    changelog  states into a table and its changelog
    lease      whether a worker that stood still may write
    takeover   whether taking over partitions has come to a standstill
    faust_app  Faust with the repairs that the stages need
    begun      handing messages over without tasks
    app        topics, tables, agents and settings
    worker     the process

At least once, in this order: outputs acknowledged by the broker, then the table's changelog, then
the table, then the offset commit. A crash in between repeats the same outputs from the same state,
so a record may be published twice but never with another value (`latency_ms` alone is measured
again). A flush after silence does not follow from the scores, so its outputs are first written to
the changelog, with the state, and sent from there: after a crash they are sent as written.
"""
