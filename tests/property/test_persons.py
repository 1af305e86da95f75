"""What a person's rows may change, and what they may not: the promise of tables with histories."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.metadata.extracting import MetaExtractor
from jupyter_dpsynth.metadata.tables import Children
from jupyter_dpsynth.persons.histories import read_histories
from jupyter_dpsynth.persons.measuring import PARTS, capped_counts, measure_event_pairs, pair_parts
from tests.support.hospital import OwnLots, hospital, hospital_meta
from tests.support.households import KEY as HOUSEHOLD
from tests.support.households import MEMBER, households, households_meta

KEY = "patient_id"


def odd_hospital(seed):
    """Few persons with all that goes wrong: orphans, keys twice, ties, too many rows, unsorted, missing."""
    tables = hospital(40, seed)
    patients, visits = tables["patients"], tables["visits"].astype({KEY: "float64"})
    crowd = visits[visits[KEY] == visits[KEY].iloc[0]].sample(12, replace=True, random_state=seed)
    orphans = visits.sample(6, random_state=seed).assign(**{KEY: 9999.0})
    nobody = visits.sample(3, random_state=seed).assign(**{KEY: np.nan})
    undated = visits.sample(3, random_state=seed).assign(admitted=pd.NaT)
    visits = pd.concat([visits, crowd, orphans, nobody, undated], ignore_index=True)
    visits["visit_no"] = np.arange(len(visits)) % 30  # the same number under two persons
    visits["lot"] = np.random.default_rng(seed).random(len(visits))
    again = patients.iloc[:4].assign(age=50)
    return {"patients": pd.concat([patients, again], ignore_index=True), "visits": visits}


def read(tables, order="admitted"):
    """Every person's record by key: what is learned of it, and its events."""
    visits = tables["visits"]
    given = {"patients": tables["patients"], "visits": visits.drop(columns="lot")}
    window = ("2021-03-01", "2023-06-30") if order and "admitted" in order else None
    children = Children("visits", order=order, most=3, window=window)
    meta = MetaExtractor.extract(given, children=[children]).with_id(KEY)
    return read_histories(given, meta, KEY, OwnLots(visits["lot"].to_numpy()))


def records(histories):
    """By person what belongs to it, in values that can be compared."""
    (events,) = histories.events
    rows = events.df.drop(columns="lot", errors="ignore").astype(object).where(events.df.notna(), None)
    lots = {"chosen": events.person[events.chosen], "later": events.person[events.later]}
    found = {}
    for place, person in enumerate(histories.df.astype(str).itertuples(index=False)):
        own = events.person == place
        picked = [
            rows.iloc[events.chosen[lots["chosen"] == place]].to_numpy().tolist(),
            rows.iloc[events.later[lots["later"] == place]].to_numpy().tolist(),
        ]
        when = None if events.when is None else events.when[own].tolist()
        found[str(person[0])] = (tuple(person), rows[own].to_numpy().tolist(), when, picked)
    return found


def changed_by_removal(reader, tables):
    """How many persons' records are others when somebody else's rows are all removed."""
    before, changed = records(reader(tables)), 0
    for key in [*tables["patients"][KEY].unique()[:7], 9999]:
        without = {name: df[df[KEY] != key].reset_index(drop=True) for name, df in tables.items()}
        after = records(reader(without))
        assert after.keys() == before.keys() - {str(key)}
        changed += sum(before[each] != after[each] for each in after)
    return changed


@pytest.mark.parametrize("order", ["admitted", "-admitted", "visit_no", None])
def test_a_persons_record_is_a_function_of_its_own_rows_alone(order):
    assert changed_by_removal(lambda tables: read(tables, order), odd_hospital(0)) == 0


def gaps_across_persons(tables):
    """Planted: the date of the row before, whosever that is."""
    histories = read(tables)
    (events,) = histories.events
    gaps = np.diff(events.when, prepend=events.when[:1]).astype("timedelta64[us]")
    events.df["admitted since the previous"] = gaps
    return histories


def sorted_across_persons(tables):
    """Planted: a row's place among the rows of all persons."""
    histories = read(tables)
    (events,) = histories.events
    events.df["place"] = np.argsort(np.argsort(events.when, kind="stable"), kind="stable")
    return histories


def visits_kept_by_first_row(tables):
    """Planted: of a visit's number that occurs twice the first row is kept, whosever that is."""
    visits = tables["visits"].drop_duplicates("visit_no").reset_index(drop=True)
    return read({**tables, "visits": visits})


@pytest.mark.parametrize("planted", [gaps_across_persons, sorted_across_persons, visits_kept_by_first_row])
def test_a_record_that_looks_at_other_persons_would_be_found(planted):
    assert changed_by_removal(planted, odd_hospital(0)) > 0


def random_rows(random):
    """Codes of some columns, -1 in places, of few persons with up to 12 rows each."""
    person = np.repeat(np.arange(20), random.integers(0, 13, 20))
    return random.integers(-1, random.integers(1, 6), (len(person), 3)), person


def largest_change(count, order):
    """Largest norm by which removing one person changes counts, in parts of a person."""
    random, most = np.random.default_rng(5), 0.0
    for _ in range(40):
        (codes, person), cap = random_rows(random), int(random.integers(1, 5))
        whole = count(codes, person, cap)
        for one in np.unique(person)[:6]:
            rest = person != one
            change = (whole - count(codes[rest], person[rest], cap)).ravel()
            most = max(most, float(np.linalg.norm(change, order)))
    return most


def test_a_person_changes_a_histogram_by_one_at_most_however_many_rows_it_has():
    found = largest_change(lambda codes, person, cap: capped_counts(codes[:, 0], person, 6, cap), 2)
    assert 0.99 * PARTS < found <= PARTS


def test_a_person_changes_a_table_of_pairs_by_one_at_most():
    found = largest_change(lambda codes, person, cap: pair_parts(codes, 0, 1, person, (6, 6), cap), 1)
    assert 0.99 * PARTS < found <= PARTS


def capped_after_counting(codes, person, cap):
    """Planted: everybody's rows are counted, and the counts are capped."""
    return np.minimum(PARTS * np.bincount(codes[:, 0] + 1, minlength=7) // cap, 40 * PARTS)


def weighted_after_a_filter(codes, person, cap):
    """Planted: weights by how many rows a person has of the cell that is the most frequent of all persons."""
    cells = np.bincount(codes[:, 0] + 1, minlength=7)
    own = np.bincount(person[codes[:, 0] + 1 == np.argmax(cells)], minlength=20)
    weight = PARTS // np.maximum(own, cap)
    return np.bincount(codes[:, 0] + 1, weight[person], minlength=7)


@pytest.mark.parametrize("planted", [capped_after_counting, weighted_after_a_filter])
def test_counts_that_are_not_capped_by_person_would_be_found(planted):
    assert largest_change(planted, 2) > 1.5 * PARTS


def pairs_scaled_in_l2(codes, person, cap):
    """Planted: a table of pairs is scaled like a histogram, though its distance moves by the L1 norm."""
    both = np.where((codes[:, :2] >= 0).all(axis=1), codes[:, 0] * 6 + codes[:, 1], -1)
    return capped_counts(both, person, 36, cap)


def test_pairs_that_are_scaled_like_histograms_would_be_found():
    assert largest_change(pairs_scaled_in_l2, 1) > 1.2 * PARTS


class Kept:
    """An allowance that adds no noise, and keeps what is to be released."""

    def counts(self, values, parts):
        self.asked = values
        return values / parts


def known_margins(codes):
    """Shares and a number of rows that were released before."""
    return [np.full(6, 1 / 6)] * 2, float(len(codes) // 20 * 20)


def exact_margins(codes):
    """Planted: those of the private rows."""
    there = (codes[:, :2] >= 0).all(axis=1)
    counts = [np.bincount(codes[there, place], minlength=6) for place in (0, 1)]
    return [each / max(each.sum(), 1) for each in counts], float(there.sum())


def largest_change_of_a_distance(margins, *, released):
    """By how many persons removing one changes a pair's distance, if margins are released or found anew."""
    random, most = np.random.default_rng(6), 0.0
    for _ in range(60):
        codes, person = random_rows(random)
        cap, whole = float(random.integers(1, 5)), margins(codes)
        for one in np.unique(person)[:6]:
            asked = []
            for own in (person >= 0, person != one):
                shares, total = whole if released else margins(codes[own])
                kept, rows = Kept(), codes[own].astype(np.int64)
                measure_event_pairs(
                    lambda place, rows=rows: rows[:, place],
                    person[own],
                    [(0, 1)],
                    shares,
                    [total],
                    cap,
                    kept,
                )
                asked.append(float(kept.asked[0]))
            most = max(most, abs(asked[0] - asked[1]) / PARTS)
    return most


def test_a_person_changes_a_pairs_distance_by_one_at_most():
    assert 0.5 < largest_change_of_a_distance(known_margins, released=True) <= 1


def test_a_distance_from_margins_of_the_private_rows_would_be_found():
    assert largest_change_of_a_distance(exact_margins, released=False) > 1.1


def test_keys_of_different_types_are_one_person():
    tables = hospital(30)
    tables["visits"] = tables["visits"].astype({KEY: "float64"})
    meta = hospital_meta(tables).with_id(KEY)
    histories = read_histories(tables, meta, KEY, np.random.default_rng(0))
    assert (histories.events[0].number > 0).sum() == tables["visits"][KEY].nunique()


class LotsOfTables:
    """Draws the lots of rows from these rows themselves, table by table in the order of levels."""

    def __init__(self, *lots):
        self._lots = list(lots)

    def random(self, size):
        lots = self._lots.pop(0)
        assert size == len(lots)
        return lots

    def bytes(self, count):
        return b"\7" * count


def odd_households(seed):
    """Three levels with all that goes wrong: members twice, of nobody or without a name; visits of none."""
    tables = households(25, seed)  # members are 1, 2, 3 in every household
    members, visits = (tables[name].astype({MEMBER: "float64"}) for name in ("members", "visits"))
    again = members.sample(6, random_state=seed).assign(age=44)
    nobody = members.sample(3, random_state=seed).assign(household=9999)
    nameless = members.sample(3, random_state=seed).assign(member=np.nan)
    members = pd.concat([members, again, nobody, nameless], ignore_index=True)
    crowd = visits.sample(12, replace=True, random_state=seed)
    lost = visits.sample(4, random_state=seed).assign(member=77)
    unknown = visits.sample(3, random_state=seed).assign(member=np.nan)
    visits = pd.concat([visits, crowd, lost, unknown], ignore_index=True)
    random = np.random.default_rng(seed)
    tables["members"] = members.assign(lot=random.random(len(members)))
    tables["visits"] = visits.assign(lot=random.random(len(visits)))
    return tables


def read_households(tables):
    given = {name: df.drop(columns="lot", errors="ignore") for name, df in tables.items()}
    meta = households_meta(given).with_id(HOUSEHOLD)
    lots = LotsOfTables(tables["members"]["lot"].to_numpy(), tables["visits"]["lot"].to_numpy())
    return read_histories(given, meta, HOUSEHOLD, lots)


def records_of_households(histories):
    """By household what belongs to it at all levels, in values that can be compared."""
    found = {}
    for place, person in enumerate(histories.df.astype(str).itertuples(index=False)):
        parts = [tuple(person)]
        for events in histories.events:
            own = np.flatnonzero(events.unit == place)
            above = events.person[own] - (events.person[own[0]] if len(own) else 0)
            values = events.df.iloc[own].astype(str).to_numpy().tolist()
            lots = [each[events.unit[each] == place] for each in (events.chosen, events.later)]
            picked = [events.df.iloc[each].astype(str).to_numpy().tolist() for each in lots]
            parts.append((values, above.tolist(), events.position[own].tolist(), picked))
        found[person[0]] = parts
    return found


def changed_households(reader, tables):
    """How many households' records are others when somebody else's rows are all removed."""
    before, changed = records_of_households(reader(tables)), 0
    for key in [*tables["households"][HOUSEHOLD].unique()[:8], 9999]:
        without = {name: df[df[HOUSEHOLD] != key].reset_index(drop=True) for name, df in tables.items()}
        after = records_of_households(reader(without))
        assert after.keys() == before.keys() - {str(key)}
        changed += sum(before[each] != after[each] for each in after)
    return changed


@pytest.mark.long
def test_a_household_with_all_levels_is_a_function_of_its_own_rows_alone():
    tables = odd_households(1)
    assert changed_households(read_households, tables) == 0
    histories = read_households(tables)
    members, visits = histories.events
    assert (np.diff(visits.unit) >= 0).all()
    assert (members.unit[visits.person] == visits.unit).all()
    assert members.df["visits.number"].sum() == len(visits.df)
    for events in histories.events:
        assert len(np.unique(events.unit[events.chosen])) == len(events.chosen) == len(np.unique(events.unit))
        assert len(np.unique(events.unit[events.later])) == len(events.later)


def matched_by_name_alone(tables):
    """Planted: visits go to the first member of that name, in whichever household."""
    first = tables["members"].drop_duplicates(MEMBER).set_index(MEMBER)[HOUSEHOLD]
    visits = tables["visits"].assign(household=tables["visits"][MEMBER].map(first))
    return read_households({**tables, "visits": visits})


def first_visits_of_all(tables):
    """Planted: the place of a visit among the visits of all households."""
    histories = read_households(tables)
    visits = histories.events[1]
    visits.df["place"] = np.argsort(np.argsort(visits.when, kind="stable"), kind="stable")
    return histories


@pytest.mark.long
@pytest.mark.parametrize("planted", [matched_by_name_alone, first_visits_of_all])
def test_a_household_that_looks_at_others_would_be_found(planted):
    assert changed_households(planted, odd_households(1)) > 0
