import sys

print("torch" in sys.modules, sum(range(1000)))
for line in sys.stdin:
    print(line.strip())
