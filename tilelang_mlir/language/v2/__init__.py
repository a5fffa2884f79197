"""Module paths of an older release of TileLang: `tilelang.language.v2.annot` and `tilelang.language.v2.dtypes`."""
