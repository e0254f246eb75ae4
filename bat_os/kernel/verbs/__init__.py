"""What a kernel does on request besides answering messages: one function per verb."""
