"""What several tests make or run: records, histories, and the tasks that processes of their own find here by name."""
