timeout 20 python3 $J/p.py
