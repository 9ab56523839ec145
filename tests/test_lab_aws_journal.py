"""The journal on disk."""

from pathlib import Path

from lab.cloud.endpoint.journal import Entry, Journal


def entry(sequence: int) -> Entry:
    return Entry(sequence, 1.5, "seed", "POST", "/", "", {"Host": "lab"}, b"\xff\n", 200)


def test_reads_what_it_wrote(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "aws" / "journal.jsonl")
    assert list(journal.entries()) == []
    journal.append(entry(1))
    journal.append(entry(2))
    again = Journal(journal.path)
    assert list(again.entries()) == [entry(1), entry(2)]
    assert again.sequence == 2


def test_is_for_its_owner_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "aws" / "journal.jsonl")
    journal.append(entry(1))
    assert journal.path.stat().st_mode & 0o077 == 0
    assert journal.path.parent.stat().st_mode & 0o077 == 0


def test_a_line_cut_short_is_dropped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(entry(1))
    whole = journal.path.read_bytes()
    for cut in (1, 20, len(entry(2).line()) - 1):
        journal.path.write_bytes(whole + entry(2).line()[:cut])
        again = Journal(journal.path)
        assert list(again.entries()) == [entry(1)]
        again.append(entry(2))
        assert list(Journal(journal.path).entries()) == [entry(1), entry(2)]
