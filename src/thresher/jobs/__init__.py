"""The jobs that the commands name: files to an artifact, an artifact to answers."""

from thresher.jobs.calibrate import calibrate
from thresher.jobs.evaluate import evaluate
from thresher.jobs.index import index
from thresher.jobs.match import match
from thresher.jobs.nearest import nearest
from thresher.jobs.recommend import recommend
from thresher.jobs.train import train

__all__ = ["calibrate", "evaluate", "index", "match", "nearest", "recommend", "train"]
