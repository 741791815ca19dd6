from .plain import Files as Files
