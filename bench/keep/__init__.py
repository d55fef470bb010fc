"""A trained detector that is kept and used: trained by hand, saved, loaded, scored with, or driven from a script.

``fitting`` trains one, ``model`` writes and reads its file, ``scoring`` scores files of any length with it;
``estimators`` and ``pyod`` are our networks by the conventions of scikit-learn and PyOD.
"""
