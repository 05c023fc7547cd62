#!/bin/sh
# Any Kafka client will do. Everything published so far, one JSON record a line, then an end;
# drop -e to go on following:  kcat.sh localhost:9092 | jq -r '[.participant_id, .valence] | @tsv'
exec kcat -C -q -e -o beginning -b "$1" -t sentiment.smoothed.v1
