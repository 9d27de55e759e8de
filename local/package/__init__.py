"""
Builds `dist/functionapp.zip`, what one-deploy takes without a remote build. Never deployed itself.

The app as `.funcignore` leaves it, and under `.python_packages/lib/site-packages` the wheels of
`requirements.lock` for the platform (Linux, x86_64, Python 3.13), of the Graph SDK only what the
app can reach. The same commit gives the same bytes.
"""
