"""The form of a record in the Differential Privacy Deployments Registry, as a JSON Schema.

Source:
    Names, types and allowed values of github.com/opendp/deployments-registry-data, file
    schemas/deployments-schema.yaml, commit 3e9c812 of 15 July 2026.
"""


def _text(*allowed):
    return {"type": "string", "enum": list(allowed)} if allowed else {"type": "string"}


def _group(needed="", **properties):
    return {
        "type": "object",
        "additionalProperties": False,
        "required": needed.split(),
        "properties": properties,
    }


def _texts(names):
    return {name: _text() for name in names.split()}


NAMES = {"type": "array", "items": _text(), "minItems": 1}

REGISTRY_SCHEMA = _group(
    "url_slug status tier deployment",
    url_slug=_text(),
    status=_text("Converted", "Draft", "Pending", "Changes Required", "Approved"),
    tier={"enum": [1, 2, 3]},
    deployment=_group(
        "basic",
        basic=_group(
            "name data_curators description intended_use data_product_type data_product_region "
            "publication_date",
            **_texts("name intended_use data_product_region description"),
            data_curators=NAMES,
            data_product_type=_text(
                "Summary statistics",
                "Machine learning model",
                "Dataset",
                "Synthetic data",
                "Interactive API",
                "SQL queries",
            ),
            publication_date={"type": "string", "format": "date"},
            data_product_sector=_text(
                "Technology", "Healthcare", "Education", "Government", "Energy", "Finance"
            ),
        ),
        dp_variant=_group(
            variant_name=_text("Pure DP", "Approximate DP", "Zero-concentrated DP", "Renyi DP", "Custom"),
            **_texts("data_domain unprotected_quantities"),
        ),
        privacy_loss=_group(
            **_texts("privacy_unit privacy_unit_details privacy_parameters_details"),
            privacy_parameters=_group(
                epsilon={"type": "number"}, delta={"type": ["number", "string"]}, rho={"type": "number"}
            ),
        ),
        deployment_model=_group(
            model_name=_text("Local", "Central", "Shuffle", "Federated", "Varies"),
            release_type=_text("One release", "Many releases"),
            data_source_type=_text("Static", "Dynamic"),
            access_type=_text("Interactive", "Non-interactive"),
            **_texts(
                "model_name_details actors release_type_details data_source_type_details access_type_details"
            ),
        ),
        accounting=_group(**_texts("post_processing composition")),
        implementation=_group(**_texts("preprocessing_and_hyperparameter_tuning mechanisms justification")),
        administrative=_group("registry_authors", **_texts("sources notes"), registry_authors=NAMES),
    ),
)
