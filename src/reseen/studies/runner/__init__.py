"""Studies' framework: `Study`, its options, and the runner of trainings."""

from reseen.studies.runner.engine import Run
from reseen.studies.runner.study import OutputOptions, Study, StudyOptions, TrainingOptions

__all__ = ["OutputOptions", "Run", "Study", "StudyOptions", "TrainingOptions"]
