"""The models that the personas share: who is in memory, and whose turn it is."""

from bat_os.kernel.roster.roster import Roster as Roster
