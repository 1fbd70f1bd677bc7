"""Text and recall batches."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest

from move37.evaluation.data import (
    encipher,
    held_out_windows,
    load_corpus,
    recall_batches,
    recall_surprises,
    secret_number,
    split_corpus,
    text_batches,
    token_losses,
)
from move37.records import UserError


def test_the_standard_library_is_megabytes_of_text_split_by_file() -> None:
    corpus = load_corpus()
    assert len(corpus.train) > 4_000_000
    share = len(corpus.held_out) / (len(corpus.train) + len(corpus.held_out))
    assert 0.04 < share < 0.2
    # The commonest byte of Python text, the space, has another number in the secret alphabet.
    assert b"def " not in corpus.train[:100_000].tobytes()
    assert np.bincount(corpus.train).max() > 0.15 * len(corpus.train)


def test_no_held_out_document_is_trained_on() -> None:
    documents = [f"document {i} ".encode() * 400 for i in range(200)]
    corpus = split_corpus("made", documents)
    train = corpus.train.tobytes()
    held_out = [d for d in documents if d in corpus.held_out.tobytes()]
    assert held_out
    assert not any(d in train for d in held_out)


def test_batches_depend_on_the_seed_alone() -> None:
    corpus = load_corpus()
    size = (3, 2, 16)
    first, again = text_batches(corpus, 5, size), text_batches(corpus, 5, size)
    other = text_batches(corpus, 6, size)
    assert np.array_equal(first.tokens, again.tokens)
    assert not np.array_equal(first.tokens, other.tokens)
    assert first.tokens.shape == (3, 2, 17)


def test_held_out_windows_stay_inside_the_text() -> None:
    corpus = load_corpus()
    windows = held_out_windows(corpus, (4, 8, 32))
    assert windows.tokens.shape == (4, 8, 33)
    assert bytes(windows.tokens[0, 0].astype(np.uint8)) == corpus.held_out[:33].tobytes()


def test_every_recall_target_was_told_before_in_its_episode() -> None:
    batches = recall_batches(1, (5, 7, 8), vocabulary=32)
    assert batches.tokens.shape == (5, 7, 32)
    for row, mask in zip(batches.tokens.reshape(-1, 32), batches.mask.reshape(-1, 31), strict=True):
        asked = np.flatnonzero(mask)
        assert len(asked) == 8
        told: dict[int, int] = {}
        for position in range(31):
            key, value = int(row[position]), int(row[position + 1])
            if mask[position]:
                assert told[key] == value
            elif key < 16 <= value:
                told[key] = value


def test_recall_rows_mix_easy_and_hard_episodes() -> None:
    batches = recall_batches(1, (20, 10, 8), vocabulary=32)
    first_answers = {int(np.flatnonzero(mask)[0]) for mask in batches.mask.reshape(-1, 31)}
    assert first_answers == {4, 8, 16}


def test_losses_are_normalised_here_whatever_the_logits() -> None:
    tokens = np.array([[0, 1, 2]], np.uint16)
    logits = np.full((1, 2, 4), 7.0)
    logits[0, 0] = [0, 50, 0, 0]
    assert token_losses(logits, tokens) == pytest.approx(np.array([[0.0, math.log(4)]]))


def test_every_value_that_recall_tells_for_the_first_time_is_a_surprise() -> None:
    batches = recall_batches(3, (4, 5, 8), vocabulary=32)
    targets, surprises = batches.tokens[..., 1:], recall_surprises(batches)
    assert surprises.sum() == batches.mask.sum()
    assert targets[surprises].min() >= 16
    counts = np.bincount(targets[surprises], minlength=32)[16:]
    assert counts.max() < 4 * counts.mean()


def test_text_that_is_missing_or_too_short_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_corpus(str(tmp_path / "absent"))
    short = tmp_path / "short.txt"
    short.write_text("too short")
    with pytest.raises(UserError, match="too little text"):
        load_corpus(str(short), cache=tmp_path)


def test_a_folder_of_own_text_is_a_corpus(tmp_path: Path) -> None:
    folder = tmp_path / "stories"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i}.txt").write_text(f"{i} once upon a time " * 300)
    corpus = load_corpus(str(folder), cache=tmp_path)
    assert corpus.name == "stories"
    assert corpus.digest == load_corpus(str(folder), cache=tmp_path).digest


def test_held_out_windows_never_overlap_however_short_the_text() -> None:
    corpus = split_corpus("short", [bytes(range(256)) * 300])
    windows = held_out_windows(corpus, (100, 8, 512)).tokens.reshape(-1, 513)
    assert len(windows) == len(corpus.held_out) // 513
    starts = np.linspace(0, len(corpus.held_out) - 513, len(windows)).astype(int)
    assert np.diff(starts).min() >= 512


def test_a_secret_alphabet_renames_every_byte_and_repeats_itself() -> None:
    corpus = split_corpus("text", [bytes(range(256)) * 300])
    hidden, again = encipher(corpus), encipher(corpus)
    assert (hidden.train == again.train).all()
    assert (hidden.train != corpus.train).mean() > 0.9
    names = dict(zip(corpus.train.tolist(), hidden.train.tolist(), strict=True))
    assert sorted(names.values()) == list(range(256))
    assert hidden.held_out.tolist() == [names[byte] for byte in corpus.held_out.tolist()]


def test_secret_numbers_differ_by_purpose_and_text_and_repeat_themselves() -> None:
    first, other = (split_corpus("t", [bytes(range(256)) * n]) for n in (300, 301))
    assert secret_number(first, "a") == secret_number(first, "a")
    drawn = {secret_number(c, p) for c in (first, other) for p in ("a", "b")}
    assert len(drawn) == 4
    assert min(drawn) >= 2**62


def test_batches_of_every_version_have_the_same_bits() -> None:
    """A baseline of yesterday is compared with a candidate of today."""

    def named(array: np.ndarray) -> str:
        return hashlib.sha256(array.tobytes()).hexdigest()[:16]

    documents = [f"document {i} of a made text. ".encode() * 300 for i in range(60)]
    corpus = encipher(split_corpus("made", documents))
    assert corpus.digest == "a2e40ecaeabecd4e"
    assert secret_number(corpus, "a") == 4655554784835486663
    assert named(corpus.train) == "f6a0e694be6fdbd3"
    assert named(corpus.held_out) == "333e832a583f2150"
    assert named(text_batches(corpus, 3, (5, 4, 64)).tokens) == "803d7ae20d15a698"
    assert named(held_out_windows(corpus, (4, 4, 64)).tokens) == "5b93cf5ddc6a53bd"
    assert named(recall_batches(3, (40, 8, 4), 64).tokens) == "2a871e2359373a9d"
    assert named(recall_batches(3, (400, 16, 16), 64).mask) == "59ca0da5080ab79a"
