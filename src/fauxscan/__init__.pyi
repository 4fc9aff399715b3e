from .api.detector import Detector as Detector
from .api.detector import Verdict as Verdict
from .api.detector import check as check
from .api.tables import read as read
from .api.tables import scan as scan
from .records import InputError as InputError
from .records import MissingExtraError as MissingExtraError
from .records import ModelError as ModelError
from .records import ParamsError as ParamsError
from .records import PlatformError as PlatformError
from .records import ResultsError as ResultsError
from .records import UserError as UserError
from .scanning.scan import Summary as Summary

__version__: str
