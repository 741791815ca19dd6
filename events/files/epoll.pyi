from .plain import LastingFiles as LastingFiles
