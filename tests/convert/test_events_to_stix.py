"""One MISP event becomes STIX under the labels of what it was made of, and nothing in it disappears unsaid."""

import json
import logging
import sys

import orjson
import pytest
from events import (
    EVENT,
    HOME,
    ORG,
    SOURCE,
    attribute,
    codes,
    convert,
    event,
    file_object,
    of,
    sha256,
    tag,
    uuid,
    whole,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.convert import making, parser, split
from exchange.errors import ContentError
from exchange.model.lights import PAP_ID, PFC_ID, Pap, Pfc
from exchange.model.marking import TLP2_ID, Reach, Tlp
from exchange.model.misp import EXTENSION
from exchange.model.party import Source
from exchange.model.sharing import NOBODY

EVENT_NUMBER = 100


def body(made):
    return orjson.loads(made.body)


def levels(objects):
    return {made.label.tlp for made in objects if made.id != f"identity--{ORG}"}


def test_the_ids_are_those_of_misp_and_the_original_is_kept():
    raw = json.dumps({"Event": event(attribute(1))}).encode()
    page = whole(raw)
    assert {f"indicator--{uuid(1)}", f"report--{EVENT}", f"identity--{ORG}"} <= {made.id for made in page.objects}
    assert (page.document.id, page.document.version, page.document.raw) == (EVENT, "1700000000", raw)
    assert page.rejected == ()
    assert not any(made.type == "marking-definition" for made in page.objects)


@pytest.mark.parametrize(
    ("names", "level"),
    [
        (["tlp:green"], Tlp.GREEN),
        (["TLP:AMBER"], Tlp.AMBER),
        (["tlp:white", "tlp: red "], Tlp.RED),
        (["TLP:AMBER+STRICT"], Tlp.AMBER_STRICT),
        (["osint:lifetime"], None),
    ],
)
def test_the_events_tags_mark_everything_in_it_by_canonical_ids(names, level):
    """misp-stix leaves the indicators of a RED event unmarked and misses upper case (pains 65, 66)."""
    page = convert(event(attribute(1), Object=[file_object(2, sha256(3))], Tag=[tag(name) for name in names]))
    assert levels(page.objects) == {level}
    wanted = {TLP2_ID[level]} if level is not None else set()
    for made in page.objects:
        if made.type != "identity":
            assert set(body(made).get("object_marking_refs", [])) == wanted


def test_an_attribute_may_be_stricter_than_its_event_but_not_looser():
    page = convert(
        event(attribute(1, Tag=[tag("tlp:red")]), attribute(2, Tag=[tag("tlp:clear")]), Tag=[tag("tlp:green")])
    )
    assert levels(of(page, 1)) == {Tlp.RED}
    assert levels(of(page, 2)) == {Tlp.GREEN}
    assert levels(made for made in page.objects if made.id == f"report--{EVENT}") == {Tlp.GREEN}


def test_a_relationship_is_as_strict_as_its_ends():
    page = convert(event(attribute(1, Tag=[tag("tlp:red")]), attribute(2)))
    for made in page.objects:
        if made.type == "relationship":
            strict = any(end.endswith(uuid(1)) for end in made.ends)
            assert made.label.tlp == (Tlp.RED if strict else None)


def test_an_object_is_as_strict_as_its_strictest_attribute():
    page = convert(event(Object=[file_object(2, sha256(3), sha256(4, Tag=[tag("tlp:amber")]))]))
    assert levels(of(page, 2)) == {Tlp.AMBER}


def test_objects_that_come_out_as_one_share_their_strictness():
    reference = {"uuid": uuid(9), "referenced_uuid": uuid(5), "relationship_type": "includes"}
    size = attribute(6, "size-in-bytes", "7", object_relation="entrypoint-address", Tag=[tag("tlp:red")])
    page = convert(
        event(
            Object=[
                file_object(2, sha256(3), ObjectReference=[reference | {"Object": {"name": "pe"}}]),
                file_object(5, size, name="pe"),
            ]
        )
    )
    assert of(page, 2)
    assert levels(of(page, 2)) == {Tlp.RED}


def test_pap_and_pfc_become_markings():
    page = convert(event(attribute(1, Tag=[tag("pap:red"), tag("PFC:Vert")]), Tag=[tag("PAP:GREEN")]))
    for made in of(page, 1):
        assert (made.label.pap, made.label.pfc) == (Pap.RED, Pfc.VERT)
        assert body(made)["object_marking_refs"] == [PAP_ID[Pap.RED], PFC_ID[Pfc.VERT]]
    for made in of(page, EVENT_NUMBER):
        assert body(made)["object_marking_refs"] == [PAP_ID[Pap.GREEN]]


def test_other_restricting_tags_deny_until_an_agreement_lists_them():
    names = ["ais-marking:AISConsent=NONE", 'iep2-policy:id="1"', "tlp:unclear", "PAP:PURPLE"]
    page = convert(event(attribute(1, Tag=[tag(name) for name in names])))
    assert {made.label.unknown for made in of(page, 1)} == {
        frozenset({"ais-marking:aisconsent=none", "tlp:unclear", "pap:purple"})
    }
    assert {made.label.iep for made in of(page, 1)} == {frozenset({'iep2-policy:id="1"'})}


def test_several_tlp_levels_are_the_strictest_and_a_remark():
    tags = [tag("tlp:green"), tag("TLP:AMBER"), tag("red"), tag("tlp:amber")]
    page = convert(event(attribute(1, Tag=tags), attribute(2, Tag=[tag("tlp:green"), tag("TLP:Green")])))
    assert levels(of(page, 1)) == {Tlp.AMBER}
    assert [(entry.id, entry.code, entry.fields) for entry in page.skipped] == [
        (uuid(1), "misp.several_tlp", {"tags": "tlp:green, tlp:amber"})
    ]


def group(*orgs, **more):
    return {"uuid": uuid(900), "id": "4", "SharingGroupOrg": [{"Organisation": {"uuid": org}} for org in orgs]} | more


@pytest.mark.parametrize("source", [SOURCE, HOME])
def test_a_sharing_group_is_whom_it_names_wherever_it_stands(source):
    """Described on the event, an attribute or an object; or described once, and elsewhere named by uuid or number."""
    both, one = frozenset({uuid(801), uuid(802)}), frozenset({uuid(801)})
    made = event(
        attribute(1),
        attribute(2, distribution="4", SharingGroup=group(uuid(801))),
        attribute(3, distribution="4", sharing_group_id="4"),
        attribute(4, distribution="4", sharing_group_id="17"),
        attribute(5, distribution=4),
        attribute(6, distribution="4", SharingGroup={"uuid": uuid(900), "name": "Salle"}),
        attribute(7, distribution="3", sharing_group_id="4", SharingGroup=group(uuid(801))),
        Object=[file_object(8, sha256(9), distribution="4", SharingGroup=group(uuid(801)))],
        distribution="4",
        SharingGroup=group(uuid(801), uuid(802)),
    )
    page = convert(made, source)
    wanted = {1: both, 2: one, 3: both, 4: NOBODY, 5: NOBODY, 6: both, 7: both, 8: one, EVENT_NUMBER: both}
    for number, orgs in wanted.items():
        assert {each.label.orgs for each in of(page, number)} == {orgs}, number
    text = b"".join(each.body for each in page.objects)
    assert uuid(900).encode() not in text
    assert uuid(801).encode() not in text


def test_a_sharing_group_that_is_empty_inactive_or_unknown_is_nobody():
    for odd in (None, group(), group(uuid(801), active=False), {"uuid": uuid(900)}):
        page = convert(event(attribute(1), distribution="4", SharingGroup=odd))
        assert {made.label.orgs for made in of(page, 1)} == {NOBODY}


@pytest.mark.parametrize(
    ("published", "draft"), [(True, False), ("1", False), (False, True), ("0", True), (None, True)]
)
def test_what_a_misp_says_is_unpublished_is_held(published, draft):
    page = convert(event(attribute(1), published=published))
    assert {made.label.draft for made in page.objects if made.type != "identity"} == {draft}
    bare = event(attribute(1))
    bare.pop("published", None)
    assert not any(made.label.draft for made in convert(bare).objects)


def test_files_and_feeds_are_not_asked_whether_they_are_published():
    for kind in ("file", "misp-feed"):
        source = Source(peer="circl", id="x", kind=kind, orgs=frozenset({"*"}))
        assert not any(made.label.draft for made in convert(event(attribute(1), published=False), source).objects)


@pytest.mark.parametrize(
    ("level", "foreign", "home"),
    [
        ("3", Reach.ALL, Reach.ALL),
        (2, Reach.COMMUNITY, Reach.CONNECTED),
        ("1", Reach.NODE, Reach.COMMUNITY),
        (0, Reach.NODE, Reach.NODE),
        ("5", Reach.ALL, Reach.ALL),
        (None, Reach.ALL, Reach.ALL),
        ("nonsense", Reach.NODE, Reach.NODE),
    ],
)
def test_distribution_says_how_far_it_goes(level, foreign, home):
    for source, reach in ((SOURCE, foreign), (HOME, home)):
        whole = convert(event(attribute(1), distribution=level), source)
        assert {made.label.reach for made in whole.objects if made.type != "identity"} == {reach}
        single = convert(event(attribute(1, distribution=level), attribute(2)), source)
        assert {made.label.reach for made in of(single, 1)} == {reach}
        assert {made.label.reach for made in of(single, 2)} == {Reach.ALL}


def test_tags_that_do_not_travel_restrict_but_are_not_shown():
    hidden = [tag("tlp:red", local=True), tag("interne:dossier-7", exportable=False), tag("osint:ok")]
    page = convert(event(attribute(1, Tag=hidden), Tag=hidden))
    text = b"".join(made.body for made in page.objects)
    assert b"dossier-7" not in text
    assert b"osint:ok" in text
    assert levels(page.objects) == {Tlp.RED}


def test_a_local_galaxy_cluster_does_not_travel():
    cluster = {"uuid": uuid(7), "type": "threat-actor", "value": "Dossier 7", "description": "", "meta": {}}
    galaxy = {
        "uuid": uuid(8),
        "type": "threat-actor",
        "name": "Threat Actor",
        "GalaxyCluster": [cluster | {"local": True}],
    }
    page = convert(event(attribute(1), Galaxy=[galaxy]))
    assert not any(b"Dossier 7" in made.body for made in page.objects)


@pytest.mark.parametrize("deleted", [True, 1, "1"])
def test_what_is_deleted_never_lives(deleted):
    gone = file_object(5, sha256(6), deleted=deleted)
    emptied = file_object(7, sha256(8, deleted=deleted))
    page = convert(event(attribute(1, deleted=deleted), attribute(2), Object=[gone, emptied]))
    for number in (1, 5, 6, 7, 8):
        assert of(page, number) == []
    said = codes(page.skipped)
    assert {said[uuid(number)] for number in (1, 5, 6, 8)} == {"misp.deleted"}
    assert said[uuid(7)] == "misp.empty_object"
    assert b"h1.example" not in b"".join(made.body for made in page.objects)


def test_a_proposal_is_a_note_and_nobodys_indicator():
    proposal = attribute(1, value="proposed.example", old_id="7", Org={"uuid": uuid(90), "name": "Other"})
    page = convert(event(attribute(1, ShadowAttribute=[proposal])))
    telling = [made for made in page.objects if b"proposed" in made.body]
    assert [made.type for made in telling] == ["note"]
    assert body(telling[0])["object_refs"] == [f"indicator--{uuid(1)}"]
    carried = body(telling[0])["extensions"][EXTENSION]["proposal"]
    assert (carried["uuid"], carried["value"], carried["Org"]["name"]) == (uuid(1), "proposed.example", "Other")


def test_bad_uuids_are_minted_anew_and_stay_the_same():
    made = event(attribute(1) | {"uuid": "not-a-uuid"}, attribute(2) | {"uuid": ""}, attribute(3))
    first, second = convert(json.loads(json.dumps(made))), convert(json.loads(json.dumps(made)))
    assert sorted(o.id for o in first.objects) == sorted(o.id for o in second.objects)
    assert sum(o.type == "indicator" for o in first.objects) == 3
    assert first.rejected == ()


def test_a_minted_uuid_tells_nothing_of_a_stricter_value():
    """RULES R15: the event lists the ids of what is in it, so a value less public than the event makes no id."""
    page = convert(event(attribute(1, Tag=[tag("tlp:red")]) | {"uuid": ""}, Tag=[tag("tlp:clear")]))
    assert [bad.code for bad in page.rejected] == ["misp.no_uuid"]


def test_upper_case_uuids_are_the_same_uuids():
    assert of(convert(event(attribute(1) | {"uuid": uuid(1).upper()})), 1)


def test_a_repeated_uuid_is_taken_once():
    page = convert(event(attribute(1), attribute(1, value="other.example")))
    assert codes(page.rejected) == {uuid(1): "misp.repeated_uuid"}
    assert not any(b"other.example" in made.body for made in page.objects)


def test_what_cannot_be_dated_is_set_aside():
    page = convert(event(attribute(1, timestamp="yesterday"), attribute(2, timestamp=""), attribute(3)))
    assert codes(page.rejected) == {uuid(1): "misp.bad_timestamp"}
    assert {o.version for o in of(page, 2) if o.version} == {"2023-11-14T22:13:20.000000"}


def test_an_attribute_that_misp_does_not_know_is_set_aside_with_its_bytes():
    page = convert(event(attribute(1, "nonsense", category="Nowhere"), attribute(2)))
    assert codes(page.rejected) == {uuid(1): "convert.entity"}
    assert orjson.loads(page.rejected[0].raw)["type"] == "nonsense"
    assert of(page, 2)


def test_an_object_on_which_the_converter_fails_is_written_by_us(monkeypatch):
    run = parser._run

    def fails_on_seven(made):
        if any(o["uuid"] == uuid(7) for o in made.get("Object") or []):
            raise parser._FailedError("seven")
        return run(made)

    monkeypatch.setattr(parser, "_run", fails_on_seven)
    page = convert(event(Object=[file_object(n, sha256(n + 100)) for n in range(1, 12)]))
    assert page.rejected == ()
    kinds = {n: {made.type for made in of(page, n)} for n in range(1, 12)}
    assert kinds.pop(7) == {"x-misp-object"}
    assert set(map(frozenset, kinds.values())) == {frozenset({"indicator"})}


def test_a_galaxy_on_which_the_converter_fails_costs_only_itself():
    galaxy = {
        "type": "threat-actor",
        "name": "Threat Actor",
        "GalaxyCluster": [{"value": "X", "uuid": uuid(7), "type": 3}],
    }
    page = convert(event(attribute(1), Galaxy=[galaxy]))
    assert of(page, 1)


def test_a_label_lost_on_the_way_rejects_the_whole_event(monkeypatch):
    monkeypatch.setattr(making, "marks_of", lambda label: ())
    with pytest.raises(ContentError) as failed:
        convert(event(attribute(1), Tag=[tag("tlp:red")]))
    assert failed.value.code == "convert.label_lost"


def test_only_creators_on_the_list_come_in():
    listed = Source(peer="circl", id="misp", kind="misp", orgs=frozenset({ORG}))
    assert convert(event(attribute(1)), listed).objects
    other = Source(peer="circl", id="misp", kind="misp", orgs=frozenset({uuid(99)}))
    page = convert(event(attribute(1)), other)
    assert (page.objects, page.document) == ((), None)
    assert codes(page.skipped) == {EVENT: "misp.org_not_allowed"}
    assert page.skipped[0].fields["org"] == "CIRCL"
    nobody = event(attribute(1))
    del nobody["Orgc"]
    assert codes(convert(nobody, other).skipped) == {EVENT: "misp.org_not_allowed"}


def test_a_protected_event_is_skipped():
    assert codes(convert(event(attribute(1), protected=True)).skipped) == {EVENT: "misp.protected"}


@pytest.mark.parametrize("wrap", [lambda e: {"Event": e}, lambda e: e, lambda e: {"response": [{"Event": e}]}])
def test_every_wrapper_is_read(wrap):
    page = whole(json.dumps(wrap(event(attribute(1)))).encode())
    assert of(page, 1)


def test_a_file_of_several_events_is_split():
    raw = json.dumps({"response": [{"Event": event(attribute(1))}, {"Event": event() | {"uuid": uuid(2)}}]}).encode()
    with pytest.raises(ContentError):
        whole(raw)
    assert [whole(part).document.id for part in split(raw)] == [EVENT, uuid(2)]


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'"x"', b'{"Event": 3}', b'{"Event": {"uuid": "x"}}', b"[3]", b"{"])
def test_what_is_no_event_is_a_content_error(raw):
    with pytest.raises(ContentError):
        whole(raw)


def test_a_deep_event_is_refused():
    deep: list = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(ContentError) as failed:
        convert(event(attribute(1), extra=deep))
    assert failed.value.code == "content.depth"


def test_nothing_is_printed_logged_or_warned(capsys, caplog):
    with caplog.at_level(logging.DEBUG):
        convert(event(attribute(1, "nonsense"), Object=[file_object(2, sha256(3), name="no-such-template")]))
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []
    assert all(hasattr(finder, "find_spec") for finder in sys.meta_path)


def test_two_runs_give_the_same_bytes():
    made = event(attribute(1), attribute(2, "ip-dst", "192.0.2.7"), Object=[file_object(3, sha256(4))])
    first, second = convert(json.loads(json.dumps(made))), convert(json.loads(json.dumps(made)))
    assert [o.raw for o in first.objects] == [o.raw for o in second.objects]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from(
    ["uuid", "type", "value", "Tag", "distribution", "timestamp", "deleted", "Galaxy", "Object", "Orgc"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    wrong=st.dictionaries(_NAMES, _JSON, max_size=3),
    frame=st.dictionaries(_NAMES, _JSON, max_size=3),
)
def test_no_input_hurts(wrong, frame):
    """Whatever stands where: an event comes in, or is refused with a reason; nothing else is raised."""
    try:
        page = whole(json.dumps({"Event": event(attribute(1) | wrong, attribute(2)) | frame}).encode())
    except ContentError:
        return
    assert all(isinstance(made.raw, bytes) for made in page.objects)


def test_an_organisation_is_worth_what_its_words_are_worth():
    """R11: the creator's identity states no mark of an event, so it does not contradict itself from event to event."""
    for name in ("tlp:red", "tlp:clear"):
        made = [o for o in convert(event(attribute(1), Tag=[tag(name)])).objects if o.type == "identity"]
        assert [(o.id, o.label.stated) for o in made] == [(f"identity--{ORG}", False)]
        assert b"object_marking_refs" not in made[0].body


def test_what_belongs_together_comes_out_alike_wherever_it_stands():
    """A file refers to its pe a hundred objects away; the next node hands both on in another order."""
    link = {"uuid": uuid(3), "referenced_uuid": uuid(901), "relationship_type": "includes"}
    one = file_object(900, sha256(1), ObjectReference=[link])
    said = {"category": "Other", "to_ids": False}
    kind = attribute(2, "text", "exe", object_relation="type", **said)
    digest = attribute(4, "imphash", "ef263ccd3c50525efd62546d5922e7de", object_relation="imphash", **said)
    other = file_object(901, kind, digest, name="pe", template_uuid="cf7adecc-d4f0-4e88-9d90-f978ee151a07")
    others = [file_object(1000 + n, sha256(2000 + n)) for n in range(150)]
    made = [
        {
            item.id: item.body
            for item in convert(event(Object=objects)).objects
            if item.id.endswith((uuid(900), uuid(901)))
        }
        for objects in ([one, *others, other], [other, one, *others], [one, other, *others])
    ]
    assert len(made[0]) == 1, "one carries both"
    assert made[0] == made[1] == made[2]
