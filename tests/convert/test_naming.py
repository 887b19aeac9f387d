"""What names another entity by uuid is as strict as that one, and what is not so strict does not name it (R10, R12)."""

import json

import pytest
from events import ORG, attribute, convert, event, tag, uuid

from exchange.model.marking import Reach, Tlp

RED, GREEN, SAID, OTHER, CLUSTER, WIDE = 7, 8, 20, 21, 30, 31
WHEN = {"created": "2023-11-14 10:00:00", "modified": "2023-11-14 10:00:00"}


def naming(page, number):
    """The objects that name this uuid, without those that are made of it."""
    return [made for made in page.objects if uuid(number) in made.body.decode() and uuid(number) not in made.id]


def red():
    return attribute(RED, Tag=[tag("tlp:red")])


def relationship(to, number=SAID, **more):
    return {
        "uuid": uuid(number), "relationship_type": "same-campaign", "related_object_uuid": uuid(to),
        "related_object_type": "Attribute", **WHEN,
    } | more  # fmt: skip


def cluster(number, **more):
    return {
        "uuid": uuid(number), "value": f"GRAPPE-{number}", "type": "threat-actor", "version": "1", "default": False,
        "tag_name": f'misp-galaxy:threat-actor="GRAPPE-{number}"', "distribution": "3",
        "Orgc": {"uuid": ORG, "name": "CIRCL"}, "GalaxyElement": [], "meta": {},
    } | more  # fmt: skip


def galaxy(*clusters):
    return [
        {"uuid": uuid(40), "type": "threat-actor", "name": "Threat Actor", "namespace": "misp",
         "GalaxyCluster": list(clusters)}
    ]  # fmt: skip


SAYINGS = [
    ("Relationship", relationship(RED)),
    ("Note", {"uuid": uuid(SAID), "note": "voir", "object_uuid": uuid(RED), "object_type": "Attribute", **WHEN}),
    ("Opinion", {"uuid": uuid(SAID), "opinion": "80", "object_uuid": uuid(RED), "object_type": "Attribute", **WHEN}),
    ("Sighting", {"uuid": uuid(SAID), "type": "0", "date_sighting": "1700000003", "attribute_uuid": uuid(RED)}),
    ("Note", {"uuid": uuid(OTHER), "note": "voir", "Relationship": [relationship(RED)], **WHEN}),
]


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(("kind", "said"), SAYINGS)
def test_what_names_a_stricter_attribute_is_as_strict(kind, said, behind):
    green = attribute(GREEN, **{kind: [said]})
    both = [green, red()] if behind else [red(), green]
    page = convert(event(*both, Tag=[tag("tlp:green")]))
    found = [made for made in page.objects if made.id.endswith(uuid(SAID))]
    assert [made.label.tlp for made in found] == [Tlp.RED]
    assert {made.label.tlp for made in naming(page, RED)} == {Tlp.RED}


def test_a_target_that_escapes_hide_is_named_all_the_same():
    said = json.dumps(event(red(), attribute(GREEN, Relationship=[relationship(RED)]), Tag=[tag("tlp:green")]))
    hidden = said.replace('"related_object_uuid": "5', '"\\u0072elated_object_uuid": "\\u0035')
    assert hidden != said
    assert {made.label.tlp for made in naming(convert(json.loads(hidden)), RED)} == {Tlp.RED}


@pytest.mark.parametrize("links", [1, 5, 12])
def test_a_chain_of_notes_is_as_strict_as_its_end(links):
    """Each names the next; the last names what is RED."""
    chain = [relationship(n + 1, n) for n in range(SAID, SAID + links)] + [relationship(RED, SAID + links)]
    page = convert(event(red(), attribute(GREEN), Tag=[tag("tlp:green")], Relationship=chain))
    said = [m for n in range(SAID, SAID + links + 1) for m in page.objects if m.id.endswith(uuid(n))]
    assert [made.label.tlp for made in said] == [Tlp.RED] * (links + 1)


def test_a_report_refers_to_what_its_reader_may_have():
    text = f"@[attribute]({uuid(RED)}) @[attribute]({uuid(GREEN)})"
    report = {"uuid": uuid(SAID), "name": "r", "distribution": "5", "timestamp": "1700000003", "content": text}
    page = convert(event(red(), attribute(GREEN), Tag=[tag("tlp:green")], EventReport=[report]))
    (note,) = [json.loads(made.body) for made in page.objects if made.id.endswith(uuid(SAID))]
    assert note["object_refs"] == [f"indicator--{uuid(GREEN)}"]


def test_what_names_a_stricter_cluster_is_as_strict():
    own = cluster(CLUSTER, distribution="0", Tag=[tag("tlp:red")])
    page = convert(event(attribute(GREEN, Galaxy=galaxy(own)), Tag=[tag("tlp:green")]))
    (made,) = naming(page, CLUSTER)
    assert made.type == "relationship"
    assert (made.label.tlp, made.label.reach) == (Tlp.RED, Reach.NODE)


@pytest.mark.parametrize(("distribution", "shown"), [("0", False), ("3", True)])
def test_a_frame_refers_to_clusters_that_its_reader_may_have(distribution, shown):
    page = convert(event(attribute(GREEN), Galaxy=galaxy(cluster(CLUSTER, distribution=distribution))))
    (frame,) = [json.loads(made.body) for made in page.objects if made.type == "report"]
    assert (f"threat-actor--{uuid(CLUSTER)}" in frame["object_refs"]) is shown


def test_a_cluster_tells_of_others_that_its_reader_may_have():
    relations = [{"referenced_galaxy_cluster_uuid": uuid(CLUSTER), "distribution": "3"},
                 {"referenced_galaxy_cluster_uuid": uuid(50), "distribution": "0"},
                 {"referenced_galaxy_cluster_uuid": uuid(51), "distribution": "3"}]  # fmt: skip
    wide = cluster(WIDE, GalaxyClusterRelation=relations)
    strict = cluster(CLUSTER, distribution="0")
    page = convert(event(attribute(GREEN, Galaxy=galaxy(wide, strict))))
    (made,) = [made.body.decode() for made in page.objects if made.id.endswith(f"--{uuid(WIDE)}")]
    assert uuid(51) in made
    assert uuid(CLUSTER) not in made
    assert uuid(50) not in made
