"""What the show says, in French and in English."""

from __future__ import annotations

import os
from collections.abc import Mapping

TEXTS: dict[str, dict[str, str]] = {
    "fr": {
        "title": "Quatre partenaires sur une machine",
        "venv": "Première fois : préparation de {name} dans son propre environnement (quelques secondes)…",
        "up_taxii": "{name} répond ({server}) : {count} objets à prendre, une boîte de dépôt vide",
        "up_misp": "CIRCL répond (double de MISP) : {count} événements",
        "up_feed": "CIRCL publie un flux MISP : {count} événements",
        "configured": "CERT-QC est configuré : {folder}",
        "starting": "exchange démarre…",
        "started": "exchange répond : {url}",
        "subscribed": "CIRCL a un compte de lecteur chez nous : {name}",
        "connected": "CIRCL nous ajoute à un second MISP, qui collectera ({url}); essai de connexion : {said}",
        "depot": "boîte de dépôt de {name} : {count} (dont venus de CIRCL : {wanted})",
        "feed": "notre flux pour CIRCL : {count} (événements)",
        "misp": "remis au MISP de CIRCL : {count} (événements)",
        "second": "collecté chez nous par le second MISP de CIRCL : {count} (événements)",
        "to_ccc": "CIRCL → CERT-QC → CCC : {what} est dans la boîte de dépôt du CCC",
        "to_circl": "CCC → CERT-QC → CIRCL : {what} est dans le flux que lit CIRCL",
        "to_misp": "CCC → CERT-QC → CIRCL : {what} est dans le MISP de CIRCL, à qui nous remettons",
        "to_second": "CCC → CERT-QC → CIRCL : {what} est dans le second MISP de CIRCL, qui collecte chez nous",
        "done": "Le tour est complet, en {seconds:.0f} s.",
        "failed": "Le tour n’est pas complet après {seconds:.0f} s ; le journal d’exchange finit ainsi :",
        "try": "À essayer, dans un autre terminal :",
        "try_taxii": "lire notre collection en TAXII 2.1 (racine {root}, collection {collection})",
        "try_feed": "lire le flux MISP",
        "try_misp": "ce qu’un MISP de CIRCL voit de nous",
        "try_why": "pourquoi cet objet du CCC (TLP:RED) n’est donné à personne",
        "try_peers": "où en sont les partenaires",
        "stop": "Ctrl-C arrête tout.",
        "stopped": "Tout est arrêté.",
        "busy": "Une démonstration tourne déjà dans ce dossier. Arrêtez-la (Ctrl-C), ou prenez un autre clone.",
    },
    "en": {
        "title": "Four partners on one machine",
        "venv": "First time: setting up {name} in an environment of its own (a few seconds)…",
        "up_taxii": "{name} answers ({server}): {count} objects to take, an empty letterbox",
        "up_misp": "CIRCL answers (MISP double): {count} events",
        "up_feed": "CIRCL publishes a MISP feed: {count} events",
        "configured": "CERT-QC is configured: {folder}",
        "starting": "exchange is starting…",
        "started": "exchange answers: {url}",
        "subscribed": "CIRCL has a reader's account with us: {name}",
        "connected": "CIRCL adds us to a second MISP, which will pull ({url}); connection test: {said}",
        "depot": "letterbox of {name}: {count} (of them from CIRCL: {wanted})",
        "feed": "our feed for CIRCL: {count} (events)",
        "misp": "pushed to CIRCL's MISP: {count} (events)",
        "second": "pulled from us by CIRCL's second MISP: {count} (events)",
        "to_ccc": "CIRCL → CERT-QC → CCC: {what} is in CCC's letterbox",
        "to_circl": "CCC → CERT-QC → CIRCL: {what} is in the feed that CIRCL reads",
        "to_misp": "CCC → CERT-QC → CIRCL: {what} is in CIRCL's MISP, which we push to",
        "to_second": "CCC → CERT-QC → CIRCL: {what} is in CIRCL's second MISP, which pulls from us",
        "done": "The round is complete, in {seconds:.0f} s.",
        "failed": "The round is not complete after {seconds:.0f} s; the log of exchange ends with:",
        "try": "To try, in another terminal:",
        "try_taxii": "read our collection over TAXII 2.1 (root {root}, collection {collection})",
        "try_feed": "read the MISP feed",
        "try_misp": "what a MISP of CIRCL sees of us",
        "try_why": "why this object of CCC (TLP:RED) is given to nobody",
        "try_peers": "how the partners are doing",
        "stop": "Ctrl-C stops everything.",
        "stopped": "Everything has stopped.",
        "busy": "Another show is running in this folder. Stop it (Ctrl-C), or work in another clone.",
    },
}


def language(environment: Mapping[str, str] = os.environ) -> str:
    """The language of the terminal, as POSIX orders the variables: French, or else English."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(name):
            return "fr" if value.lower().startswith("fr") else "en"
    return "en"
