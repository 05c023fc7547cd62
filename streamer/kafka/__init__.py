"""Records on Kafka: between capture, inference, processing and all that reads their results.

`topics` is the table of topics; `codec`, `plausibility` and `messages` are the form of a record on
a topic. `producer`, `consumer`, `admin` and `backlog` talk to a broker, over `connection` and
`security`. `embedded` and `apache` (with `java`) are brokers that this package starts.
`dead_letters` serves its commands, `documentation` generates docs/records.md.
"""
