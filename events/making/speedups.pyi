from .plain import maker as maker
