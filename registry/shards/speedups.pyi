from .plain import Shards as Shards
