"""A small folder of valid configuration."""

VALID = {
    "exchange.toml": """
        [node]
        name = "CERT-QC"
        identity = "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"
    """,
    "peers/ccc.toml": """
        name = "CCC"
        contact = "echange@ccc.example"
        [[source]]
        id = "alertes"
        kind = "taxii"
        url = "https://taxii.ccc.example/api1/"
        collection = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
        [[target]]
        id = "depot"
        kind = "taxii"
        url = "https://taxii.ccc.example/api1/"
        collection = "52892447-4d7e-4f70-b94d-d7f22742ff63"
        [auth]
        token = "credential:ccc.token"
    """,
    "agreements/cst.toml": """
        title = "Entente"
        parties = ["ccc"]
        from = 2026-01-01
        until = 2026-12-31
        purpose = "Défense"
        [receive]
        ceiling = "TLP:AMBER"
        [send]
        ceiling = "TLP:GREEN"
        types = ["indicator", "sighting"]
    """,
    "collections/partenaires.toml": """
        id = "0c6b5f0a-6f2d-4c35-9a57-3a5f0e7d9b11"
        title = "Partenaires"
        readers = ["ccc"]
    """,
}
