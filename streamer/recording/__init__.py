"""Sessions on disk: recorder, Parquet files, export, report, comparison.

    recorder    topics → files, beside a running session or alone
    writer      records → parts, merged as they accumulate
    files       complete files only; the names of parts
    arrow       structs as Arrow schemas and rows
    forgetting  deletes what a recording holds of one person
    forgotten   marks of those people, which a recorder obeys
    reader      files → records, in order
    recorded    a recording in memory, its summary
    export      a recording as CSV, Parquet, JSON, VTT
    report      a recording as one HTML page
    comparison  two recordings of the same source

    FOLDER/standup/session.json                    the index entry, derivable from the rest
    FOLDER/standup/smoothed-000000-000031.parquet  32 parts merged into one
    FOLDER/standup/smoothed-000032-000032.parquet  a part: the records between two flushes
    FOLDER/standup/media/ana.mp4                   a copy of a participant's media file, if asked

Any Parquet reader opens them (`SELECT * FROM 'FOLDER/*/smoothed-*.parquet'`); the columns are the
fields of `records`. Kafka is known to `recorder` only.
"""
