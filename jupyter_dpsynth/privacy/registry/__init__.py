"""A run's record for the public registry of deployments, and for the questions that NIST asks of them."""

from jupyter_dpsynth.privacy.registry.entry import TO_BE_ANSWERED, Entry
from jupyter_dpsynth.privacy.registry.record import DeploymentRecord, deployment_record

__all__ = ["TO_BE_ANSWERED", "DeploymentRecord", "Entry", "deployment_record"]
