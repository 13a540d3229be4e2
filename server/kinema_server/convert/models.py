"""The models that are here."""

from kinema.v1 import colorizer_pb2 as pb
from kinema_core.bundle import Bundle


def models_to_proto(bundles: list[Bundle]) -> pb.ListModelsResponse:
    """Translate the models, the default first."""
    models = [
        pb.Model(
            name=bundle.manifest.name,
            version=bundle.manifest.version,
            digest=bundle.digest,
            licence=bundle.manifest.licence,
            num_parameters=bundle.manifest.num_parameters,
            working_size=bundle.manifest.working_size,
            scores=bundle.manifest.scores,
        )
        for bundle in bundles
    ]
    return pb.ListModelsResponse(models=models)
