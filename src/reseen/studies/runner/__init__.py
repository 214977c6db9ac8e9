"""What a study is made of: its options, its trainings and what they found."""

from reseen.studies.runner.engine import Run
from reseen.studies.runner.study import OutputOptions, Study, StudyOptions, TrainingOptions

__all__ = ["OutputOptions", "Run", "Study", "StudyOptions", "TrainingOptions"]
