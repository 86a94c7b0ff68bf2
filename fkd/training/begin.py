"""A new run: everything that can be wrong with it is found before its name is used up."""

from __future__ import annotations

import shutil

from fkd.data import check_names, schema_of
from fkd.errors import FkdError
from fkd.models import check_model
from fkd.schema import get_schema
from fkd.training.config import TrainConfig
from fkd.training.run import RunFolder
from fkd.training.start import find_start


def new_run(name: str, config: TrainConfig) -> RunFolder:
    """Make a run's folder and write its configuration.

    Raises:
        FkdError: data that are not there or damaged, settings out of range, a network that cannot be made, weights
            that it cannot start from, a name that is taken or cannot be one, or a folder that cannot be written.
    """
    check_names(config.data)
    config.checked()
    keypoints = len(get_schema(schema_of(config.data.split("+")[0])))
    check_model(config.model, keypoints, config.input_size, **config.model_args)
    find_start(config)
    folder = RunFolder.create(name)
    try:
        folder.write_config(config.as_dict())
    except OSError as error:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise FkdError(f"The folder {folder.path} cannot be written ({error.strerror}).") from None
    return folder
