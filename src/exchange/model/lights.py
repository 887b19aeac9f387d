"""TLP, PAP and PFC: the levels; of the latter two the marking ids and MISP tags too, as TLP's stand in `marking`.

PAP (Permissible Actions Protocol) limits what a receiver does with content, not who may have it. PFC (Protocole des
feux de circulation, ministère de la Cybersécurité et du Numérique du Québec, version 1 of 2024-12) says who may have
it, in terms that TLP does not have. Their names are never translated.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

_PREFIX = "marking-definition--"


class Tlp(IntEnum):
    """The Traffic Light Protocol, loosest first; the values are the order of strictness."""

    CLEAR = 0
    GREEN = 1
    AMBER = 2
    AMBER_STRICT = 3
    RED = 4

    @property
    def label(self) -> str:
        """The FIRST spelling, never translated."""
        return "TLP:" + self.name.replace("_", "+")

    @property
    def tag(self) -> str:
        """The tag of MISP's `tlp` taxonomy."""
        return self.label.lower()


class Reach(IntEnum):
    """How far MISP's distribution lets content go from here, after the hop downgrade; widest first."""

    ALL = 0
    CONNECTED = 1
    COMMUNITY = 2
    NODE = 3


class Pap(IntEnum):
    """The Permissible Actions Protocol, loosest first."""

    CLEAR = 0
    GREEN = 1
    AMBER = 2
    RED = 3

    @property
    def label(self) -> str:
        """The name of the level, which is also the tag of MISP's `PAP` taxonomy: it is written in capitals."""
        return "PAP:" + self.name


class Pfc(IntEnum):
    """The Protocole des feux de circulation, loosest first."""

    LIBRE = 0
    VERT = 1
    AMBRE = 2
    AMBRE_STRICT = 3
    ROUGE = 4

    @property
    def label(self) -> str:
        """The spelling of the ministry."""
        return "PFC:" + self.name.replace("_", "+")

    @property
    def tag(self) -> str:
        """The tag of MISP's `pfc` taxonomy."""
        return self.label.lower()


PAP_ID: Mapping[Pap, str] = {
    Pap.CLEAR: _PREFIX + "ad15a0cd-55b6-4588-a14c-a66105329b92",
    Pap.GREEN: _PREFIX + "c43594d1-4b11-4c59-93ab-1c9b14d53ce9",
    Pap.AMBER: _PREFIX + "60f8932b-e51e-4458-b265-a2e8be9a80ab",
    Pap.RED: _PREFIX + "740d36e5-7714-4c30-961a-3ae632ceee0e",
}
PAP_WHITE = _PREFIX + "a3bea94c-b469-41dc-9cfe-d6e7daba7730"
"""What CLEAR was called before."""
PAP_IDS: Mapping[str, Pap] = {**{identifier: level for level, identifier in PAP_ID.items()}, PAP_WHITE: Pap.CLEAR}
PAP_TAGS: Mapping[str, Pap] = {level.label.casefold(): level for level in Pap} | {"pap:white": Pap.CLEAR}

PFC_EXTENSION = "extension-definition--c7f2a0b4-1d6e-4f38-9b52-6e0d3a91c845"
PFC_ID: Mapping[Pfc, str] = {
    Pfc.LIBRE: _PREFIX + "3d1f6b0a-58c2-4e97-8a43-f2b7c05d9e61",
    Pfc.VERT: _PREFIX + "9b64e2c7-0f13-4a85-b6d9-17a8e35c4f20",
    Pfc.AMBRE: _PREFIX + "e07c95d2-6a4b-4d3f-92e8-5b1c8f30a7d4",
    Pfc.AMBRE_STRICT: _PREFIX + "51a8f3e6-c29d-4b70-8e15-d46f0b92c73a",
    Pfc.ROUGE: _PREFIX + "c8e20d49-7b5f-4613-a9c4-0e83d6f15b97",
}
"""Nobody has published marking-definitions for PFC, so these are ours, the same on every node; see the peer guide."""
PFC_IDS: Mapping[str, Pfc] = {identifier: level for level, identifier in PFC_ID.items()}
PFC_TAGS: Mapping[str, Pfc] = {level.tag: level for level in Pfc}

COLOURS: Mapping[str, str] = {
    "tlp:clear": "#ffffff",
    "tlp:green": "#33FF00",
    "tlp:amber": "#FFC000",
    "tlp:amber+strict": "#FFC000",
    "tlp:red": "#CC0033",
    "PAP:CLEAR": "#ffffff",
    "PAP:GREEN": "#33FF00",
    "PAP:AMBER": "#FFC000",
    "PAP:RED": "#CC0033",
    "pfc:libre": "#ffffff",
    "pfc:vert": "#33FF00",
    "pfc:ambre": "#FFC000",
    "pfc:ambre+strict": "#FFC000",
    "pfc:rouge": "#FF2B2B",
}
"""What MISP shows the tags of these levels in."""
