"""Short pages that are nearly all boilerplate: a refiner that changes none of them is misconfigured."""

BOILERPLATE_PAGES: tuple[str, ...] = (
    """Home | About | Products | Blog | Contact
Skip to main content
We use cookies to improve your experience. Accept all cookies
A short note on rain barrels
A barrel under the downpipe fills within a single summer storm, so fit an overflow before you fit the lid.
Share on: Post | Pin | Mail
Related posts
Click here to read more
Leave a comment
Your email address will not be published.
Privacy Policy | Terms of Service | Sitemap
Copyright 2021 Rain Barrel World. All rights reserved.""",
    """Login
Register
My cart (0)
Home > Shop > Garden > Watering
Subscribe to our newsletter
Follow us
Tags: garden, water, sale, offers, new
<< Previous 1 2 3 4 5 ... 27 Next >>
Read more...
Read more...
Read more...
Back to top
(c) 2019 Shop of Many Things. All Rights Reserved. Powered by Shopboard""",
    """Menu
Search
Sign in
Advertisement
Advertisement
The ferry to the island leaves at ten, and in strong easterly wind it does not leave at all.
Advertisement
You might also like
Ten islands that you must see
Sponsored content
Load more comments
Terms of use
Cookie settings
Contact us""",
    """Forum index
FAQ  Search  Memberlist  Register  Log in
You cannot post new topics in this forum
You cannot reply to topics in this forum
All times are GMT
Jump to: Select a forum
Page 1 of 1
Powered by Boardware""",
)
"""Four texts; in each at least ten of eleven lines are navigation, links, notices or footers."""
