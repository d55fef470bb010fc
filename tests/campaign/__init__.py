"""The campaign: bad input, kills, bad machines, load and strangers at the server, tried by the thousand from one seed.

``make campaign`` runs all of it and writes ``reports/campaign.md``; ``test_campaign.py`` beside it runs a short form.
``cases`` runs a command within bounds and judges what it did, ``hand`` and ``changed`` make its input, ``corpus`` the
good files that are spoilt, ``kills``, ``machines``, ``load``, ``strangers`` and ``soak`` try what takes processes.
"""
