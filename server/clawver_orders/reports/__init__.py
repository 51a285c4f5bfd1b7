"""What is laid out for people: the rows of a spreadsheet, the digest of a day, the checks of the doctor."""
