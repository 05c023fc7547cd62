"""Input topics that change from outside: cut beyond the commits, made again, widened, deleted."""

from collections.abc import Mapping

import pytest
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from streamer.errors import TopicChanged
from streamer.kafka.topic_ids import TopicState
from streamer.processing.inputs import Inputs, Start, commit_metadata, start_of, starting_offsets

TOPIC = "sentiment.scores.v1"
OLD, NEW = "id-of-the-old-topic", "id-of-the-new-topic"


def commit(offset: int, topic_id: str = NEW) -> OffsetAndMetadata:
    return OffsetAndMetadata(offset, commit_metadata(topic_id))


@pytest.mark.parametrize(
    ("commit", "first", "end", "expected"),
    [
        (commit(10), 0, 60, Start(10)),
        (commit(0), 0, 60, Start(0)),
        (None, 0, 60, Start(0)),
        (None, 50, 60, Start(50)),
        (commit(10), 50, 60, Start(50, deleted=40)),
        (commit(3, OLD), 0, 60, Start(0, made_again=True)),  # its end is beyond the old commit
        (commit(99), 0, 60, Start(0, made_again=True)),
        (commit(10, ""), 0, 60, Start(10)),  # of a version that named no topic
        (commit(99, ""), 0, 60, Start(0, made_again=True)),
    ],
)
def test_a_partition_is_read_from_its_commit_if_that_is_of_this_topic(
    commit: OffsetAndMetadata | None, first: int, end: int, expected: Start
) -> None:
    assert start_of(commit, first, end, NEW) == expected


def test_a_broker_without_topic_ids_makes_no_commit_wrong() -> None:
    assert start_of(commit(10, OLD), 0, 60, "") == Start(10)
    assert commit_metadata("") == ""


class FakeApp:
    """As much of Faust's app as is asked: where its consumer is to start."""

    def __init__(self, starts: Mapping[int, Start]) -> None:
        self.consumer = self
        self._starts = {TP(TOPIC, number): start for number, start in starts.items()}

    async def starts(self) -> Mapping[TP, Start]:
        return self._starts | {TP("another", 0): Start(7, deleted=7, made_again=True)}


async def test_a_log_cut_beyond_the_commits_is_one_line_for_all_partitions(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = FakeApp({0: Start(10), **dict.fromkeys(range(1, 9), Start(50, deleted=40))})
    expected = {0: 10, **dict.fromkeys(range(1, 9), 50)}
    assert await starting_offsets(app, TOPIC) == expected
    (line,) = caplog.messages
    assert line.startswith("320 messages of sentiment.scores.v1 were deleted")


async def test_a_topic_made_again_is_one_line_too(caplog: pytest.LogCaptureFixture) -> None:
    app = FakeApp({0: Start(0, made_again=True), 1: Start(0)})
    assert await starting_offsets(app, TOPIC) == {0: 0, 1: 0}
    assert caplog.messages == [f"The topic {TOPIC} was made again; reading its beginning."]


def test_other_partitions_end_the_stage() -> None:
    inputs = Inputs({TOPIC: 2})
    assert inputs.look(TOPIC, TopicState(OLD, 2), OLD) == ""
    with pytest.raises(TopicChanged, match="has 3 partitions now and had 2"):
        inputs.look(TOPIC, TopicState(OLD, 3), OLD)


def test_a_topic_made_again_starts_the_app_over_that_reads_the_old_one() -> None:
    inputs = Inputs({TOPIC: 1})
    old, new = TopicState(OLD, 1), TopicState(NEW, 1)
    assert inputs.look(TOPIC, old, "") == inputs.look(TOPIC, old, OLD) == ""
    assert inputs.look(TOPIC, new, OLD) == f"the topic {TOPIC} was made again"
    assert inputs.look(TOPIC, new, "") == inputs.look(TOPIC, new, NEW) == ""


def test_a_missing_topic_that_the_app_reads_again_by_itself_is_not_started_over_for() -> None:
    inputs = Inputs({TOPIC: 1})
    assert inputs.look(TOPIC, None, OLD) == ""
    assert inputs.look(TOPIC, TopicState(NEW, 1), NEW) == ""


@pytest.mark.parametrize("topic_id", [OLD, ""])  # "": the broker gives none
def test_a_missing_topic_is_said_once_and_starts_the_stage_over_when_it_is_back(
    topic_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = Inputs({TOPIC: 1})
    assert inputs.look(TOPIC, TopicState(topic_id, 1), topic_id) == ""
    assert [inputs.look(TOPIC, None, topic_id) for _ in range(3)] == [""] * 3
    assert caplog.text.count("does not exist any more") == 1
    back = TopicState(topic_id and NEW, 1)
    assert inputs.look(TOPIC, back, topic_id) == f"the topic {TOPIC} was made again"
    assert inputs.look(TOPIC, back, topic_id and NEW) == ""
